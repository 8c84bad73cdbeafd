/** The schemas of tokens for programs. */
import { t } from 'elysia'
import { knownScopes, SCOPES } from '../auth/caller'
import {
  answered,
  idInPath,
  integer,
  Moment,
  moment,
  namedObject,
  nullable,
  oneOf,
  POSITIVE,
  strict,
  text,
} from '../http/schemas'

/** How many tokens a user may have that have not expired. */
export const MAX_TOKENS = 50

const fields = {
  name: text('token-name', { min: 1, max: 100, notBlank: true, description: 'What it is for; kept as sent' }),
  scopes: t.Array(oneOf(SCOPES), {
    minItems: 1,
    uniqueItems: true,
    rule: `must be an array of ${SCOPES.join(' and ')}, or one of them, each once`,
    description: '`tasks:write` includes reading',
  }),
}

const example = {
  id: 3,
  name: 'Backup script',
  scopes: ['tasks:read'],
  expires_at: '2026-04-15T09:30:00.000Z',
  created_at: '2026-01-15T09:30:00.000Z',
  last_used_at: null,
  last_four: 'k3Fz',
}

export const ApiToken = namedObject(
  'ApiToken',
  {
    id: integer(POSITIVE),
    ...answered(fields),
    expires_at: nullable(Moment, { description: '`null`: it does not expire' }),
    created_at: Moment,
    last_used_at: nullable(Moment, { description: 'Within ten minutes; `null`: not used yet' }),
    last_four: t.String({ description: 'The last four characters of the token' }),
  },
  { description: 'A token for a program, without its secret', examples: [example] },
)
export type ApiToken = typeof ApiToken.static

/** A row of `api_tokens`, without the hash. */
export type TokenRow = Omit<ApiToken, 'scopes'> & { scopes: string[] }

/** @returns the row as it is answered */
export function toApiToken(row: TokenRow): ApiToken {
  return { ...row, scopes: knownScopes(row.scopes) }
}

export const NewApiToken = namedObject(
  'NewApiToken',
  {
    ...ApiToken.properties,
    token: t.String({ description: 'For `Authorization: Bearer <token>`; it is shown only once' }),
  },
  {
    description: 'A token for a program, with its secret',
    examples: [{ ...example, token: 'twp_5hJ0rXv9bQ2mT7kLw4dY8sN1aZc2F0k3Fz' }],
  },
)
export type NewApiToken = typeof NewApiToken.static

export const ApiTokenCreate = namedObject(
  'ApiTokenCreate',
  {
    ...fields,
    expires_at: t.Optional(
      nullable(moment('At most a year from now; 90 days if it is left out; `null`: it does not expire'), {
        rule: 'must be a moment such as 2026-01-15T09:30:00Z, or null',
      }),
    ),
  },
  { description: 'A new token', examples: [{ name: 'Backup script', scopes: ['tasks:read'] }] },
)
export type ApiTokenCreate = typeof ApiTokenCreate.static

export const ApiTokenParams = t.Object({ id: idInPath("The token's id") }, strict)
