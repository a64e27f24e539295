// ---------------------------------------------------------------- As many rows as fit

/** Rows that are drawn before it is seen how many of them fit; on a full screen they all stay. */
const INLINE_ROWS = 30;
const FULLSCREEN_ROWS = 100;

/** Which row stands first, and where the pages before began: how many rows fit is only known once they are drawn. */
const firstPage = () => ({ start: 0, before: [] });

/**
 * Draws rows from `paging.start` on, takes away what the height does not allow, and then shows the two buttons.
 * `draw(rows)` puts them into the page, `remove()` takes away the last one, `again()` draws everything anew.
 */
function paginate({ rows, paging, footer, what, draw, remove, again }) {
  if (paging.start >= rows.length) Object.assign(paging, firstPage());
  const most = isFullscreen() ? FULLSCREEN_ROWS : INLINE_ROWS;
  let count = Math.min(most, rows.length - paging.start);
  draw(rows.slice(paging.start, paging.start + count));
  footer.replaceChildren();
  if (paging.start || count < rows.length || overflow() > 0) {
    const range = el("span", { class: "range" });
    const turn = (label, drawing, isPossible, go) =>
      button(label, () => (go(), again()), { icon: drawing, iconOnly: true, look: "turn", disabled: !isPossible, "data-key": label });
    footer.append(range);
    const next = turn(`Next ${what}`, "forth", true, () => {
      paging.before.push(paging.start);
      paging.start += count;
    });
    footer.append(turn(`Previous ${what}`, "back", paging.start, () => (paging.start = paging.before.pop() ?? 0)), next);
    while (count > 1 && overflow() > 0) {
      remove();
      count -= 1;
    }
    const end = paging.start + count;
    range.textContent = `${number(paging.start + 1)}–${number(end)} of ${number(rows.length)} ${what}`;
    next.disabled = end >= rows.length;
  }
}

/** Pixels by which the page is higher than it may be. */
const overflow = () => document.getElementById("page").getBoundingClientRect().height - heightLimit();

/** A view of its own for what has no room elsewhere: a heading and a list, in pages. */
function listView({ title, entries, back, paging = firstPage() }) {
  return {
    key: "list",
    draw(head, body) {
      head.append(el("div", { class: "bar" }, heading(title), el("div", { class: "tools" }, back(), modeButton())));
      const list = el("ul", { class: "entries" });
      const footer = el("div", { class: "pager" });
      body.append(list, footer);
      const pages = {
        rows: entries,
        paging,
        footer,
        what: "lines",
        draw: (some) => list.replaceChildren(...some.map((entry) => el("li", {}, entry()))),
        remove: () => list.lastElementChild.remove(),
        again: () => redraw(),
      };
      return () => paginate(pages);
    },
  };
}
