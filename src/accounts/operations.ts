/** The operations on accounts: their input, their answers and their documentation. */
import { t } from 'elysia'
import { SIGNED_IN_PROBLEMS } from '../auth/guard'
import { BODY_PROBLEMS } from '../http/body'
import { input } from '../http/input'
import { operation } from '../http/operation'
import { problems } from '../http/problems'
import {
  AccountUpdate,
  Credentials,
  OptionalAccountDeletion,
  PasswordChange,
  RefreshToken,
  Registration,
  Session,
  SessionParams,
  Tokens,
  User,
} from './model'

const SIGN_IN_PROBLEMS = [
  'VALIDATION_ERROR',
  'RATE_LIMITED',
  'DATABASE_UNAVAILABLE',
  'OVERLOADED',
  ...BODY_PROBLEMS,
] as const
const USER_PROBLEMS = [...SIGNED_IN_PROBLEMS, 'VALIDATION_ERROR', 'DATABASE_UNAVAILABLE'] as const
const ACCOUNT_PROBLEMS = [...USER_PROBLEMS, 'ACCOUNT_NOT_FOUND'] as const
const PASSWORD_PROBLEMS = [...BODY_PROBLEMS, 'WRONG_PASSWORD'] as const

export const register = {
  ...input({ body: Registration }),
  response: { 201: Tokens, ...problems(...SIGN_IN_PROBLEMS, 'EMAIL_TAKEN') },
  detail: operation({
    id: 'register',
    tag: 'Sign-in',
    summary: 'Sign up',
    description: 'Creates an account and signs it in.',
  }),
}

export const login = {
  ...input({ body: Credentials }),
  response: { 200: Tokens, ...problems(...SIGN_IN_PROBLEMS, 'INVALID_CREDENTIALS') },
  detail: operation({
    id: 'login',
    tag: 'Sign-in',
    summary: 'Sign in',
    description: 'An unknown address gets the same answer as a wrong password, after the same time.',
  }),
}

export const refresh = {
  ...input({ body: RefreshToken }),
  response: { 200: Tokens, ...problems(...SIGN_IN_PROBLEMS, 'TOKEN_INVALID') },
  detail: operation({
    id: 'refresh',
    tag: 'Sign-in',
    summary: 'Get new tokens',
    description:
      'A refresh token can be used once. Because an answer may be lost, it gives one more pair of tokens if it is sent ' +
      'again within ten seconds. Later, it ends the session.',
  }),
}

export const logout = {
  ...input({ body: RefreshToken }),
  response: { 204: t.Void(), ...problems(...SIGN_IN_PROBLEMS) },
  detail: operation({
    id: 'logout',
    tag: 'Sign-in',
    summary: 'Sign out',
    description: "Ends the token's session. An unknown or expired token is no error.",
  }),
}

export const readUser = {
  ...input({}),
  response: { 200: User, ...problems(...USER_PROBLEMS) },
  detail: operation({
    id: 'readUser',
    tag: 'Account',
    summary: 'Read oneself',
    description: 'For a user of another issuer, only the id and the time of the first write are known.',
  }),
}

export const deleteUser = {
  ...input({ body: OptionalAccountDeletion }),
  response: { 204: t.Void(), ...problems(...USER_PROBLEMS, ...PASSWORD_PROBLEMS) },
  detail: operation({
    id: 'deleteUser',
    tag: 'Account',
    summary: 'Delete oneself',
    description:
      'Deletes the user and everything that the user owns, for good. An account needs its password; a user of another ' +
      'issuer has none. Tokens issued until now are refused from now on.',
  }),
}

export const updateUser = {
  ...input({ body: AccountUpdate }),
  response: { 200: User, ...problems(...ACCOUNT_PROBLEMS, ...PASSWORD_PROBLEMS, 'EMAIL_TAKEN') },
  detail: operation({
    id: 'updateUser',
    tag: 'Account',
    summary: 'Change name or e-mail address',
    description: 'A new e-mail address needs the current password and ends all other sessions.',
  }),
}

export const changePassword = {
  ...input({ body: PasswordChange }),
  response: { 204: t.Void(), ...problems(...ACCOUNT_PROBLEMS, ...PASSWORD_PROBLEMS) },
  detail: operation({
    id: 'changePassword',
    tag: 'Account',
    summary: 'Change the password',
    description: 'Ends all sessions except this one, and with `end_tokens` all tokens for programs.',
  }),
}

export const listSessions = {
  ...input({}),
  response: { 200: t.Array(Session), ...problems(...ACCOUNT_PROBLEMS) },
  detail: operation({
    id: 'listSessions',
    tag: 'Account',
    summary: 'List where one is signed in',
    description: 'The session that was used last comes first.',
  }),
}

export const endOtherSessions = {
  ...input({}),
  response: { 204: t.Void(), ...problems(...ACCOUNT_PROBLEMS) },
  detail: operation({
    id: 'endOtherSessions',
    tag: 'Account',
    summary: 'Sign out everywhere else',
    description: 'Ends all sessions except the one of this request.',
  }),
}

export const endSession = {
  ...input({ params: SessionParams }),
  response: { 204: t.Void(), ...problems(...ACCOUNT_PROBLEMS, 'SESSION_NOT_FOUND') },
  detail: operation({
    id: 'endSession',
    tag: 'Account',
    summary: 'Sign out somewhere',
    description:
      'The session of another user gets the same answer as one that does not exist. Access tokens of the session work ' +
      'until they expire, but not for the account.',
  }),
}
