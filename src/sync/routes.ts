/** HTTP for synchronization: changes since a moment, and changes as they happen. Mounted at both addresses. */
import { Elysia } from 'elysia'
import { type Services, signedInOwner } from '../auth/guard'
import { changes, createEventsHandler } from './handlers'
import type { Live } from './live'
import * as operations from './operations'
import type { StreamSlots } from './stream-slots'

export function syncRoutes(services: Services, live: Live, slots: StreamSlots) {
  return new Elysia()
    .use(signedInOwner(services))
    .get('/changes', changes, operations.readChanges)
    .get('/events', createEventsHandler(services, live, slots), operations.streamEvents)
}
