/** The routes of synchronization, which are mounted at both addresses: pages of changes, and a stream of them. */
import { Elysia } from 'elysia'
import { type Services, signedInOwner } from '../auth/guard'
import { toRead } from '../auth/scopes'
import { createEventsHandler, readChangesPage } from './handlers'
import type { Live } from './live'
import * as operations from './operations'
import type { StreamSlots } from './stream-slots'
import { byTokenOrTicket, createTicket } from './tickets'

export function syncRoutes(services: Services, live: Live, slots: StreamSlots) {
  return new Elysia()
    .use(
      new Elysia()
        .use(signedInOwner(services, { findCaller: byTokenOrTicket(services) }))
        .get('/events', createEventsHandler(services, live, slots), operations.streamEvents),
    )
    .use(new Elysia().use(signedInOwner(services)).get('/changes', readChangesPage, operations.readChanges))
    .use(
      new Elysia()
        .use(signedInOwner(services, { needed: toRead }))
        .post('/events/ticket', createTicket, operations.createTicket),
    )
}
