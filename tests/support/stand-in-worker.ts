/** Stands in for a worker: `bun stand-in-worker.ts <what it does> <number>`. */
import { appendFileSync } from 'node:fs'

const [, , behaviour, number] = process.argv

const behaviours: Record<string, () => void> = {
  ready: () => process.send?.({ type: 'ready' }),
  'ready, and does not end': () => {
    process.on('SIGTERM', () => {})
    process.send?.({ type: 'ready' })
  },
  'fails if it is the second': () => {
    if (number !== '2') return process.send?.({ type: 'ready' })
    process.send?.({ type: 'failed', message: 'HOST is wrong' })
    process.exit(1)
  },
  'ends before it is ready': () => process.exit(3),
  'is ready once': () => {
    // whoever starts it again sees that it has been here
    appendFileSync(process.env['FILE'] ?? '', 'x')
    if (process.env['STARTS'] === '1') process.send?.({ type: 'ready' })
    else process.send?.({ type: 'failed', message: 'the port is gone' })
    setTimeout(() => process.exit(4), 20)
  },
}

behaviours[behaviour ?? '']?.()
process.on('disconnect', () => process.exit())
// as long as nobody ends it
setInterval(() => {}, 1000)
