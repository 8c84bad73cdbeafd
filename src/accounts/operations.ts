/** The operations on accounts: what each takes, how it answers, and what the document says of it. */
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
    description: 'Makes an account, and signs it in.',
  }),
}

export const login = {
  ...input({ body: Credentials }),
  response: { 200: Tokens, ...problems(...SIGN_IN_PROBLEMS, 'INVALID_CREDENTIALS') },
  detail: operation({
    id: 'login',
    tag: 'Sign-in',
    summary: 'Sign in',
    description: 'An address without an account answers as a wrong password does, and takes as long.',
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
      'A refresh token is good once. Within ten seconds of its use it gives one new pair more, for the answer may ' +
      'have been lost; later it ends the session.',
  }),
}

export const logout = {
  ...input({ body: RefreshToken }),
  response: { 204: t.Void(), ...problems(...SIGN_IN_PROBLEMS) },
  detail: operation({
    id: 'logout',
    tag: 'Sign-in',
    summary: 'Sign out',
    description: "Ends the token's session. A token that is not known, or no longer, is no error.",
  }),
}

export const readUser = {
  ...input({}),
  response: { 200: User, ...problems(...USER_PROBLEMS) },
  detail: operation({
    id: 'readUser',
    tag: 'Account',
    summary: 'Read oneself',
    description: 'Of a user whom another issuer signs in, only the id is known, and since when.',
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
      'With everything that the user owns, for good. An account needs its password; a user of another issuer has ' +
      'none. Tokens issued until now are refused from now on.',
  }),
}

export const updateUser = {
  ...input({ body: AccountUpdate }),
  response: { 200: User, ...problems(...ACCOUNT_PROBLEMS, ...PASSWORD_PROBLEMS, 'EMAIL_TAKEN') },
  detail: operation({
    id: 'updateUser',
    tag: 'Account',
    summary: 'Change name or e-mail address',
    description: 'Another e-mail address needs the current password, and ends all other sessions.',
  }),
}

export const changePassword = {
  ...input({ body: PasswordChange }),
  response: { 204: t.Void(), ...problems(...ACCOUNT_PROBLEMS, ...PASSWORD_PROBLEMS) },
  detail: operation({
    id: 'changePassword',
    tag: 'Account',
    summary: 'Change the password',
    description: 'Ends all other sessions; this one goes on.',
  }),
}

export const listSessions = {
  ...input({}),
  response: { 200: t.Array(Session), ...problems(...ACCOUNT_PROBLEMS) },
  detail: operation({
    id: 'listSessions',
    tag: 'Account',
    summary: 'List where one is signed in',
    description: 'The last used first.',
  }),
}

export const endOtherSessions = {
  ...input({}),
  response: { 204: t.Void(), ...problems(...ACCOUNT_PROBLEMS) },
  detail: operation({
    id: 'endOtherSessions',
    tag: 'Account',
    summary: 'Sign out everywhere else',
    description: 'Ends all sessions but the one that the request comes from.',
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
      'A session of somebody else answers as one that does not exist. Access tokens of the session end when they ' +
      'expire.',
  }),
}
