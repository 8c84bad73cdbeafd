/** The operations on tokens for programs: their input, their answers and their documentation. */
import { t } from 'elysia'
import { SIGNED_IN_PROBLEMS } from '../auth/guard'
import { BODY_PROBLEMS } from '../http/body'
import { input } from '../http/input'
import { operation } from '../http/operation'
import { problems } from '../http/problems'
import { ApiToken, ApiTokenCreate, ApiTokenParams, MAX_TOKENS, NewApiToken } from './model'

const tag = 'Tokens'

const TOKEN_PROBLEMS = [...SIGNED_IN_PROBLEMS, 'VALIDATION_ERROR', 'DATABASE_UNAVAILABLE'] as const

export const listTokens = {
  ...input({}),
  response: { 200: t.Array(ApiToken), ...problems(...TOKEN_PROBLEMS) },
  detail: operation({
    id: 'listTokens',
    tag,
    summary: 'List the tokens for programs',
    description: 'The newest first. Expired ones are listed for 30 days.',
  }),
}

export const createToken = {
  ...input({ body: ApiTokenCreate }),
  response: { 201: NewApiToken, ...problems(...TOKEN_PROBLEMS, ...BODY_PROBLEMS, 'TOO_MANY') },
  detail: operation({
    id: 'createToken',
    tag,
    summary: 'Make a token for a program',
    description:
      'For scripts, integrations and assistants: good for tasks, lists, tags, changes, events and `/mcp`, and for nothing else. ' +
      `The answer is the only one that holds the token. A user has at most ${MAX_TOKENS} that have not expired.`,
  }),
}

export const deleteToken = {
  ...input({ params: ApiTokenParams }),
  response: { 204: t.Void(), ...problems(...TOKEN_PROBLEMS, 'TOKEN_NOT_FOUND') },
  detail: operation({
    id: 'deleteToken',
    tag,
    summary: 'End a token for a program',
    description: 'It is refused from now on, and its streams of events end. A second `DELETE` answers 404.',
    repeatable: 'always',
  }),
}
