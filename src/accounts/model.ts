/** The schemas of users, sign-ins and sessions. */
import { FormatRegistry } from '@sinclair/typebox'
import { t } from 'elysia'
import {
  codePoints,
  integer,
  Moment,
  namedObject,
  nullable,
  optionalBody,
  strict,
  text,
} from '../http/schemas'

export const User = namedObject(
  'User',
  {
    id: t.String({ description: "The subject of the user's tokens" }),
    email: nullable(t.String()),
    name: nullable(t.String()),
    created_at: nullable(Moment),
  },
  {
    description: 'A user; a field is `null` if it is not known, as for a user of another issuer',
    examples: [
      {
        id: '0198c1d2-7a5e-7c3b-9f10-2b1d6c5a4e3f',
        email: 'ann@example.com',
        name: 'Ann',
        created_at: '2026-01-15T09:30:00.000Z',
      },
    ],
  },
)
export type User = typeof User.static

export const Tokens = namedObject(
  'Tokens',
  {
    access_token: t.String({ description: 'For `Authorization: Bearer <access_token>`' }),
    token_type: t.Literal('bearer'),
    expires_in: integer({ description: 'How long the access token is valid, in seconds' }),
    refresh_token: t.String({ description: 'Good for one call of `refresh`, for 30 days' }),
    user: User,
  },
  { description: 'A signed-in user (RFC 6749 section 5.1)' },
)
export type Tokens = typeof Tokens.static

/*
 * RFC 5321 and 6531 without forms that are not in use: quoted local parts, hosts as IP addresses, domains of one label.
 * Only a mail could tell whether an address exists.
 */
const LOCAL_PART = /^[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+(?:\.[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+)*$/u
const LABEL = /^[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}-]{0,61}[\p{L}\p{M}\p{N}])?$/u
const MAX_EMAIL = 254
const MAX_LOCAL_PART = 64

FormatRegistry.Set('email-address', (value) => {
  // a code point is at most two UTF-16 units, so much longer text need not be matched
  if (value.length > MAX_EMAIL * 2 || codePoints(value) > MAX_EMAIL) return false
  const at = value.lastIndexOf('@')
  const localPart = value.slice(0, at)
  const labels = value.slice(at + 1).split('.')
  return (
    at > 0 &&
    codePoints(localPart) <= MAX_LOCAL_PART &&
    LOCAL_PART.test(localPart) &&
    labels.length > 1 &&
    labels.every((label) => LABEL.test(label)) &&
    !/^\p{N}/u.test(labels.at(-1) ?? '')
  )
})

const Email = t.String({
  format: 'email-address',
  rule: `must be an e-mail address of at most ${MAX_EMAIL} characters`,
  documented: {
    type: 'string',
    format: 'idn-email',
    maxLength: MAX_EMAIL,
    description: 'Kept as sent, compared without case',
  },
})

const Name = nullable(text('user-name', { min: 1, max: 100, notBlank: true, description: 'Kept as sent' }))

const NewPassword = text('new-password', {
  min: 8,
  max: 128,
  description: 'Neither the e-mail address nor one of the hundred most common passwords',
})

/** The rules of a new password do not apply: an account from another system may have an older one. */
const GivenPassword = text('given-password', {
  min: 1,
  max: 1000,
  description: 'The password of the account',
})

export const Registration = namedObject(
  'Registration',
  { email: Email, password: NewPassword, name: t.Optional(Name) },
  {
    description: 'A new account',
    examples: [{ email: 'ann@example.com', password: 'correct horse battery', name: 'Ann' }],
  },
)
export type Registration = typeof Registration.static

export const Credentials = namedObject(
  'Credentials',
  { email: Email, password: GivenPassword },
  {
    description: 'An e-mail address and its password',
    examples: [{ email: 'ann@example.com', password: 'correct horse battery' }],
  },
)
export type Credentials = typeof Credentials.static

export const RefreshToken = namedObject(
  'RefreshToken',
  { refresh_token: t.String({ rule: 'must be a string' }) },
  { description: 'The newest token from `register`, `login` or `refresh`' },
)
export type RefreshToken = typeof RefreshToken.static

export const AccountUpdate = namedObject(
  'AccountUpdate',
  { name: t.Optional(Name), email: t.Optional(Email), current_password: t.Optional(GivenPassword) },
  {
    minProperties: 1,
    description: 'The fields to change; a new e-mail address needs the current password',
    examples: [{ name: 'Ann Smith' }],
  },
)
export type AccountUpdate = typeof AccountUpdate.static

export const PasswordChange = namedObject(
  'PasswordChange',
  {
    current_password: GivenPassword,
    new_password: NewPassword,
    end_tokens: t.Optional(
      t.Boolean({ rule: 'must be true or false', description: 'Also ends all tokens for programs' }),
    ),
  },
  { description: 'The current password and the new one' },
)
export type PasswordChange = typeof PasswordChange.static

const AccountDeletion = namedObject(
  'AccountDeletion',
  { password: t.Optional(GivenPassword) },
  { description: "The account's password; users of another issuer have none" },
)

export type AccountDeletion = typeof AccountDeletion.static

export const OptionalAccountDeletion = optionalBody(AccountDeletion)

const SessionId = t.String({
  pattern: '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$',
  rule: 'must be a UUID',
  documented: { type: 'string', format: 'uuid', description: "The session's id" },
})

export const SessionParams = t.Object({ id: SessionId }, strict)

export const Session = namedObject(
  'Session',
  {
    id: t.String({ documented: { type: 'string', format: 'uuid' } }),
    created_at: Moment,
    last_used_at: t.String({
      documented: { ...Moment['documented'], description: 'When the session last got new tokens' },
    }),
    user_agent: nullable(t.String({ description: 'The `User-Agent` of the client at that time' })),
    current: t.Boolean({ description: 'Whether this request belongs to the session' }),
  },
  { description: 'A session in which the caller is signed in' },
)
export type Session = typeof Session.static
