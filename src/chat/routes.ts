/** The routes of the assistant, which are mounted at both addresses. They are not for programs. */
import { Elysia } from 'elysia'
import { type Services, signedInOwner } from '../auth/guard'
import { notForPrograms } from '../auth/scopes'
import { type ChatDeps, createChatHandlers } from './handlers'
import * as operations from './operations'

export function chatRoutes(services: Services, deps: ChatDeps) {
  const handlers = createChatHandlers(services, deps)
  return new Elysia()
    .use(signedInOwner(services, { needed: notForPrograms }))
    .post('/chat', handlers.chat, operations.chat)
    .get('/conversations', handlers.listConversations, operations.listConversations)
    .get('/conversations/:id/messages', handlers.listMessages, operations.listMessages)
    .delete('/conversations/:id', handlers.deleteConversation, operations.deleteConversation)
}
