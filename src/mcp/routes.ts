/** The Model Context Protocol at `/mcp`: what is checked before a message is read, and where programs find that out. */
import { Elysia } from 'elysia'
import type { Logger } from 'pino'
import type { ToolRunner } from '../assistants/run'
import { type Caller, SCOPES } from '../auth/caller'
import { type FindCaller, type Services, type SignedIn, signedInOwner } from '../auth/guard'
import { isRefused, type UserState, userState } from '../auth/queries'
import { refuseToken } from '../auth/refusal'
import { requireScope, toRead } from '../auth/scopes'
import type { Batched } from '../database/batch'
import { isUnavailable } from '../database/errors'
import { readJson } from '../http/body'
import { originCheck } from '../http/cors'
import { input } from '../http/input'
import { Problem } from '../http/problems'
import type { PublicPath } from '../http/public-path'
import { methodNotAllowed } from '../http/refused-methods'
import { contextOf } from '../http/request-context'
import { limitAnonymous } from '../limits/rate-limiter'
import type { Settings } from '../settings'
import { createResource, MCP_PATH, METADATA_PATH, type Resource } from './resource'

interface Deps {
  settings: Settings
  publicPath: PublicPath
  runner: ToolRunner
  log: Logger
}

/** The document is about REST. */
const hidden = { detail: { hide: true } }
const withoutParameters = { ...input({}), ...hidden }

export function mcpRoutes(services: Services, { settings, publicPath, runner, log }: Deps) {
  const resource = createResource(settings, publicPath)
  const findCaller = byTokenAndOrigin(services, settings, resource)
  const stateOf = services.database.batch(userState)

  const answer = async ({ request, caller, sql }: SignedIn): Promise<Response> => {
    // most messages run no statement that would notice it
    if (await isDeleted(stateOf, request, caller)) {
      throw challenged(refuseToken('revoked'), resource.metadataFor(request))
    }
    const message = await readJson(request)
    if (message === undefined) throw new Problem('MALFORMED_JSON')
    // loaded late: the SDK is large, and most servers get no message of MCP
    const { answerMessage } = await import('./server')
    const { id: requestId } = contextOf(request)
    const context = { caller, sql, address: publicPath.whole(request), requestId }
    return answerMessage(request, message, { runner, context, log })
  }

  return new Elysia()
    .use(
      new Elysia()
        .use(signedInOwner(services, { findCaller, needed: toRead }))
        .post(MCP_PATH, answer, withoutParameters)
        .all(MCP_PATH, methodNotAllowed('POST'), hidden),
    )
    .use(metadataRoutes(services, settings, resource))
}

/** Without an authorization server these paths are 404: a client that finds metadata starts to sign in, instead of sending its token. */
function metadataRoutes({ rateLimiter }: Services, { authorizationServers }: Settings, resource: Resource) {
  if (authorizationServers.length === 0) return new Elysia()
  const describe = ({ request }: { request: Request }) => resource.describe(request)
  return new Elysia()
    .use(limitAnonymous(rateLimiter))
    .get(METADATA_PATH, describe, withoutParameters)
    .get(METADATA_PATH + MCP_PATH, describe, withoutParameters)
}

/** The token comes first, so that a request without one learns nothing else. */
function byTokenAndOrigin({ verify }: Services, settings: Settings, resource: Resource): FindCaller {
  const isListed = originCheck(settings)
  const { publicUrl } = settings
  const own = publicUrl && new URL(publicUrl).origin
  async function findCaller(request: Request): Promise<Caller> {
    const header = request.headers.get('authorization')
    const caller = await verify(header, contextOf(request), resource.addressFor(request))
    requireScope(caller, 'tasks:read')
    return caller
  }
  return async (request) => {
    const caller = await findCaller(request).catch((error) => {
      throw error instanceof Problem ? challenged(error, resource.metadataFor(request)) : error
    })
    // DNS rebinding: a page can point its own host name at this machine, and read the answer
    const origin = request.headers.get('origin')
    if (origin !== null && origin !== own && !isListed(origin)) throw new Problem('ORIGIN_NOT_ALLOWED')
    return caller
  }
}

/**
 * Whether the caller has been deleted since the token was issued. While the database cannot be used nobody is, so that
 * programs can connect, which often try only once. What they are told then is the same for everybody, and each tool asks
 * again.
 */
async function isDeleted(
  stateOf: Batched<string, UserState | null>,
  request: Request,
  caller: Caller,
): Promise<boolean> {
  try {
    const state = await stateOf(contextOf(request), caller.id)
    return isRefused(caller, state?.refuse_tokens_until ?? null)
  } catch (error) {
    if (isUnavailable(error)) return false
    throw error
  }
}

/** Adds to `WWW-Authenticate` where to get a token, and for what (RFC 9728 section 5.1). */
function challenged(problem: Problem, metadata: string | undefined): Problem {
  const given = problem.headers['www-authenticate']
  if (given === undefined || metadata === undefined) return problem
  const scope = given.includes('scope=') ? [] : [`scope="${SCOPES.join(' ')}"`]
  const added = [...scope, `resource_metadata="${metadata}"`].join(', ')
  const separator = given === 'Bearer' ? ' ' : ', '
  return problem.withHeaders({ 'www-authenticate': given + separator + added })
}
