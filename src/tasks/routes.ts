/** The routes of tasks, which are mounted at both addresses. */
import { Elysia } from 'elysia'
import { type Services, type SignedIn, signedInOwner } from '../auth/guard'
import { createHandlers } from './handlers'
import * as operations from './operations'
import type { PageCache } from './page-cache'

export interface TaskDeps {
  cache: PageCache
  /** Called after each change of a user's tasks. */
  onChange(userId: string): void
}

/** After a write, kept pages of the user are forgotten, and open streams are told. */
export function afterWrites({ cache, onChange }: TaskDeps) {
  return ({ request, caller }: Pick<SignedIn, 'request' | 'caller'>) => {
    if (request.method === 'GET' || request.method === 'HEAD') return
    cache.forget(caller.id)
    onChange(caller.id)
  }
}

export function taskRoutes(services: Services, deps: TaskDeps) {
  const handlers = createHandlers(services, deps.cache)
  return new Elysia()
    .use(signedInOwner(services))
    .onAfterHandle(afterWrites(deps))
    .get('/', handlers.list, operations.listTasks)
    .get('/trash', handlers.listTrash, operations.listTrash)
    .post('/', handlers.create, operations.createTask)
    .post('/batch', handlers.batch, operations.batchTasks)
    .get('/:id', handlers.read, operations.readTask)
    .put('/:id', handlers.change, operations.putTask)
    .patch('/:id', handlers.change, operations.patchTask)
    .patch('/:id/complete', handlers.complete, operations.completeTask)
    .post('/:id/move', handlers.move, operations.moveTask)
    .post('/:id/restore', handlers.restore, operations.restoreTask)
    .delete('/:id', handlers.remove, operations.deleteTask)
}
