/** The routes of tasks, which are mounted at both addresses. */
import { Elysia } from 'elysia'
import { type Services, signedInOwner } from '../auth/guard'
import { createHandlers } from './handlers'
import * as operations from './operations'
import type { PageCache } from './page-cache'

interface TaskDeps {
  cache: PageCache
  /** Called after each change of a user's tasks. */
  onChange(userId: string): void
}

export function taskRoutes(services: Services, { cache, onChange }: TaskDeps) {
  const handlers = createHandlers(services, cache)
  return new Elysia()
    .use(signedInOwner(services))
    .onAfterHandle(({ request, caller }) => {
      if (request.method === 'GET' || request.method === 'HEAD') return
      cache.forget(caller.id)
      onChange(caller.id)
    })
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
