// The official client over stdio, with a handler for questions that deals with each in another way: it says no at once,
// fails, ticks the box, and types the id that the field names. Prints what came of each call as JSON.
//
//     node person.mjs VERSION COMMAND [ARGUMENT...]              VERSION: 1, 2, or 2-new for MCP 2026-07-28
import { connected, ticks, types } from './stdio.mjs'

const [version, command, ...args] = process.argv.slice(2)
const answers = {
  declines: () => ({ action: 'decline' }),
  fails: () => { throw new Error('no window is open') },
  ticks,
  types,
}

let answer
const client = await connected(version, command, args, (question) => answer(question))

const saw = {}
for (const [how, tool] of Object.entries({
  declines: 'disable_deployment', fails: 'disable_deployment', ticks: 'disable_deployment', types: 'delete_deployment',
})) {
  answer = answers[how]
  const call = { name: tool, arguments: { flow_version_id: '1001', deployment_id: '500' } }
  saw[how] = await client.callTool(call).then((told) => told.structuredContent, String)
}
await client.close()
console.log(JSON.stringify(saw))
