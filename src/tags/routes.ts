/** The routes of tags, which are mounted at both addresses. */
import { Elysia } from 'elysia'
import { type Services, signedInOwner } from '../auth/guard'
import { afterWrites, type TaskDeps } from '../tasks/routes'
import { createHandlers } from './handlers'
import * as operations from './operations'

export function tagRoutes(services: Services, deps: TaskDeps) {
  const handlers = createHandlers(services)
  return (
    new Elysia()
      .use(signedInOwner(services))
      // the tags of tasks change
      .onAfterHandle(afterWrites(deps))
      .get('/', handlers.list, operations.listTags)
      .patch('/:name', handlers.rename, operations.renameTag)
      .delete('/:name', handlers.remove, operations.deleteTag)
  )
}
