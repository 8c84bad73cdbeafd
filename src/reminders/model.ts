/** The schema of a reminder that has fallen due. */
import { t } from 'elysia'
import { integer, namedObject } from '../http/schemas'
import type { ToldReminder } from './queries'

export const Reminder = namedObject(
  'Reminder',
  {
    task_id: integer(),
    due_at: t.String({
      documented: {
        type: 'string',
        format: 'date-time',
        description: 'The due moment; of a day without a time, its beginning in the time zone',
      },
    }),
    minutes: integer({ description: 'Which of the reminders of the task: minutes before the due moment' }),
  },
  {
    description: 'A reminder of a task has fallen due',
    examples: [{ task_id: 42, due_at: '2026-01-16T17:00:00.000Z', minutes: 30 }],
  },
)
export type Reminder = typeof Reminder.static

export function toReminder({ task_id, due_at, minutes }: ToldReminder): Reminder {
  return { task_id, due_at, minutes }
}
