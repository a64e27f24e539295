// As many rows as fit

/** Rows that are drawn before it is seen how many of them fit; a full screen keeps them all. */
const INLINE_ROWS = 20;
const FULLSCREEN_ROWS = 50;

/** Which row stands first, and which did on the pages before: how many fit is known only once they are drawn. */
const firstPage = () => ({ start: 0, before: [] });

/** Draws the rows from `paging.start` on, and has those removed again that the page is too low for. */
function paginate({ rows, paging, footer, what, draw, drawn, remove, again }) {
  if (paging.start >= rows.length) Object.assign(paging, firstPage());
  const { start, before } = paging;
  let end = Math.min(start + (isFullscreen() ? FULLSCREEN_ROWS : INLINE_ROWS), rows.length);
  draw(rows.slice(start, end));
  if (!start && end === rows.length && overflow() <= 0) return;
  const turn = (to, left) => () => again(Object.assign(paging, { start: to, before: left }));
  const show = () => {
    const back = start > 0 && turn(before.at(-1) ?? 0, before.slice(0, -1));
    const forth = end < rows.length && turn(end, [...before, start]);
    footer.replaceChildren(...pager(what, start, end, rows.length, back, forth));
  };
  show();
  const bottoms = drawn().map((row) => row.getBoundingClientRect().bottom);
  const limit = bottoms.at(-1) - overflow();
  end = start + Math.max(1, bottoms.filter((bottom) => bottom <= limit).length);
  for (let left = bottoms.length; left > end - start; left -= 1) remove();
  show();
}

function pager(what, start, end, total, back, forth) {
  const turn = (word, drawing, go) => button(`${word} ${what}`, go, { drawing, look: "bare", disabled: !go });
  const range = el("span.range", `${number(start + 1)}–${number(end)} of ${number(total)} ${what}`);
  return [range, turn("Previous", "back", back), turn("Next", "forth", forth)];
}

/** A view of its own for what has no room elsewhere: a heading, and a list in pages. */
function listView(title, entries, back) {
  const paging = firstPage();
  return {
    key: "list",
    draw(head, body) {
      head.append(bar(title, null, back()));
      const list = el("ul.entries");
      const footer = el("div.pager");
      body.append(list, footer);
      const draw = (rows) => list.replaceChildren(...rows.map((entry) => el("li", entry())));
      const drawn = () => [...list.children];
      const remove = () => list.lastElementChild.remove();
      return () => paginate({ rows: entries, paging, footer, what: "lines", draw, drawn, remove, again: redraw });
    },
  };
}
