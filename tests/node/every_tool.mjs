// The official client over stdio calls every tool: it looks, previews each write and does it, by a person's answer or by
// a code. Having listed the tools, it holds each result against its output schema. Prints the calls and what came of
// them as JSON.
//
//     node every_tool.mjs VERSION person|code COMMAND [ARGUMENT...]    VERSION: 1, 2, or 2-new for MCP 2026-07-28
import { connected, ticks, types } from './stdio.mjs'

const [version, by, command, ...args] = process.argv.slice(2)
const agrees = (question) => (question.requestedSchema.properties.typed_id ? types : ticks)(question)
const client = await connected(version, command, args, by === 'person' ? agrees : undefined)
const { tools } = await client.listTools()

const saw = []
async function call(tool, given) {
  const { content, structuredContent, isError } = await client.callTool({ name: tool, arguments: given })
  saw.push({ tool, content, structuredContent, isError: Boolean(isError) })
  return structuredContent
}

async function write(tool, given) {
  await call(tool, { ...given, dry_run: true })
  const told = await call(tool, given)
  return told.confirmation_code ? call(tool, { ...given, confirmation_code: told.confirmation_code }) : told
}

const first = { flow_version_id: '1001', deployment_id: '500' }
await call('list_deployments', { per_page: 3, include: ['user', 'enabledBy', 'flowVersion'] })
await call('list_flow_version_deployments', { flow_version_id: '1001' })
await call('get_deployment', { ...first, detail: 'full' })
await call('deployment_overview', {})
await call('deployment_overview', { environment: 'UK Live' })
await write('update_deployment', { ...first, priority: 9 })
await write('disable_deployment', first)
await write('enable_deployment', first)
const { undo } = await write('set_deployments_enabled', { enabled: false, environment: 'US Live' })
await write(undo.tool, undo.arguments)
const deleted = await write('delete_deployment', first)
const { after } = await write(deleted.undo.tool, deleted.undo.arguments)
await write('replace_deployment', { flow_version_id: '1001', deployment_id: after.id, new_flow_version_id: '1002' })
await call('list_changes', { since: '24h' })
await client.close()
console.log(JSON.stringify({ tools: tools.map(({ name }) => name), saw }))
