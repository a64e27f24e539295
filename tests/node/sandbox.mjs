// What stands between a host that is a web page and the view: a page of another origin, which loads the view in a frame
// of no origin under the policy that this page came with, and passes on what the two say to each other.
const view = document.querySelector('iframe')

addEventListener('message', ({ source, data }) => {
  if (source === view.contentWindow) return parent.postMessage(data, '*')
  if (source !== parent) return
  const theme = data.result?.hostContext?.theme ?? (data.method?.endsWith('context-changed') && data.params.theme)
  if (theme) document.documentElement.style.colorScheme = theme  // another one than the view's would hide the host
  if (data.method !== 'ui/notifications/sandbox-resource-ready') return view.contentWindow.postMessage(data, '*')
  view.sandbox = data.params.sandbox
  view.srcdoc = data.params.html
})
parent.postMessage({ jsonrpc: '2.0', method: 'ui/notifications/sandbox-proxy-ready', params: {} }, '*')
