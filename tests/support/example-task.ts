import type { Task } from '../../src/client/index'

/** A task as the server answers it, with little in it. */
export function exampleTask(fields: Partial<Task> & { id: number }): Task {
  return {
    user_id: 'ann',
    title: `task ${fields.id}`,
    description: null,
    completed: false,
    priority: null,
    due_date: null,
    due_time: null,
    time_zone: null,
    reminders: [],
    repeat: null,
    repeat_from: 'due',
    tags: [],
    list_id: null,
    parent_id: null,
    completed_at: null,
    due_at: null,
    position: `p${String(fields.id).padStart(16, '0')}`,
    next_id: null,
    created_at: '',
    updated_at: '',
    revision: fields.id,
    ...fields,
  }
}
