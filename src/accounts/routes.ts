/** The routes of accounts: signing in, the user's own account, and their sessions. */
import { Elysia } from 'elysia'
import { type Services, signedIn, signingIn } from '../auth/guard'
import type { TokenSettings } from '../auth/token'
import { createAccountHandlers } from './handlers'
import * as operations from './operations'
import { createSignInHandlers } from './sign-in'

/** Below `/api/v1/auth`. */
export function signInRoutes(services: Services, settings: TokenSettings) {
  const handlers = createSignInHandlers(services, settings)
  return new Elysia()
    .use(signingIn(services))
    .post('/register', handlers.register, operations.register)
    .post('/login', handlers.login, operations.login)
    .post('/refresh', handlers.refresh, operations.refresh)
    .post('/logout', handlers.logout, operations.logout)
}

/** Below `/api/v1/users/me`: for every user, also one who signs in with another issuer. */
export function userRoutes(services: Services, onDelete: (userId: string) => void) {
  const handlers = createAccountHandlers(services)
  return new Elysia()
    .use(signedIn(services))
    .onAfterHandle(({ request, caller }) => {
      if (request.method === 'DELETE') onDelete(caller.id)
    })
    .get('/', handlers.readUser, operations.readUser)
    .delete('/', handlers.deleteUser, operations.deleteUser)
}

/** Below `/api/v1/users/me`: for users who have an account. */
export function accountRoutes(services: Services) {
  const handlers = createAccountHandlers(services)
  return new Elysia()
    .use(signedIn(services))
    .patch('/', handlers.updateUser, operations.updateUser)
    .post('/password', handlers.changePassword, operations.changePassword)
    .get('/sessions', handlers.listSessions, operations.listSessions)
    .delete('/sessions', handlers.endOtherSessions, operations.endOtherSessions)
    .delete('/sessions/:id', handlers.endSession, operations.endSession)
}
