/** Messages of the Model Context Protocol, as clients of its revisions send them. */
import type { Answer, Call, CallOptions } from './app'

export const REVISIONS = ['2025-06-18', '2025-11-25', '2026-07-28'] as const
export type Revision = (typeof REVISIONS)[number]
export const NEWEST = '2026-07-28'

/** From this one on a request says all of itself, and there is no `initialize`. */
const isNewest = (revision: Revision) => revision === NEWEST

const CLIENT = { name: 'test', version: '1' }

/** What a request of the newest revision carries. */
export const META = {
  'io.modelcontextprotocol/protocolVersion': NEWEST,
  'io.modelcontextprotocol/clientInfo': CLIENT,
  'io.modelcontextprotocol/clientCapabilities': {},
}

type Params = Record<string, unknown>

export interface Sending extends CallOptions {
  revision?: Revision
  /** Sent instead of a user's own. */
  token?: string
}

/** @returns the body and the headers of a request */
export function message(method: string, params: Params = {}, revision: Revision = NEWEST) {
  const common = {
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
    'mcp-protocol-version': revision,
  }
  if (!isNewest(revision)) return { body: { jsonrpc: '2.0', id: 1, method, params }, headers: common }
  const { name } = params
  return {
    body: { jsonrpc: '2.0', id: 1, method, params: { _meta: META, ...params } },
    headers: { ...common, 'mcp-method': method, ...(typeof name === 'string' && { 'mcp-name': name }) },
  }
}

/** What a client before the newest revision begins with. */
export const initialize = (protocolVersion: string) => ({
  protocolVersion,
  capabilities: {},
  clientInfo: CLIENT,
})

/** What a tool has answered. */
export interface ToolAnswer {
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of any tool
  structuredContent?: any
  content: [{ type: 'text'; text: string }]
  isError?: boolean
}

export interface McpCaller {
  send(method: string, params?: Params, sending?: Sending): Promise<Answer>
  /** @throws Error if the answer is not that of a tool */
  tool(name: string, given?: unknown, sending?: Sending): Promise<ToolAnswer>
  /** What the tool has given. @throws Error if it has failed */
  result(
    name: string,
    given?: unknown,
    sending?: Sending,
  ): Promise<NonNullable<ToolAnswer['structuredContent']>>
  /** The words of a tool that fails. @throws Error if it does not */
  words(name: string, given?: unknown, sending?: Sending): Promise<string>
}

export function mcpCaller(call: Call): McpCaller {
  const send: McpCaller['send'] = (method, params, { revision, token, headers, ...options } = {}) => {
    const { body, headers: usual } = message(method, params, revision)
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    return call('POST', '/mcp', { body, ...options, headers: { ...usual, ...authorization, ...headers } })
  }
  const tool: McpCaller['tool'] = async (name, given = {}, sending = {}) => {
    const { status, body } = await send('tools/call', { name, arguments: given }, sending)
    if (status !== 200 || !body.result) throw new Error(`${name}: ${status} ${JSON.stringify(body)}`)
    return body.result
  }
  return {
    send,
    tool,
    async result(name, given, sending) {
      const { structuredContent, isError, content } = await tool(name, given, sending)
      if (isError) throw new Error(`${name}: ${content[0].text}`)
      return structuredContent
    },
    async words(name, given, sending) {
      const { isError, content, structuredContent } = await tool(name, given, sending)
      if (!isError || structuredContent) throw new Error(`${name} has not failed`)
      return content[0].text
    },
  }
}
