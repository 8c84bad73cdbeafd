import { test } from 'bun:test'
import fc from 'fast-check'
import { testApp } from '../support/app'
import { playAtOnce } from './model/at-once'
import { Command } from './model/commands'
import { play } from './model/game'

/** How many games are played; `FC_RUNS=20000` plays more. */
const RUNS = Number(process.env['FC_RUNS'] ?? 200)
/** A purge concerns all users, so games at the same time have their own databases. */
const [one, two, three] = [await testApp(), await testApp(), await testApp()]

const HOUR = 3_600_000
/** With a bias, half of them would be so short that there is hardly a task in them. */
const games = fc.noBias(fc.array(Command, { maxLength: 30, size: 'max' }))
const rounds = fc.noBias(
  fc.array(fc.array(Command, { maxLength: 9, size: 'max' }), { maxLength: 4, size: 'max' }),
)

test(
  'three devices of a user get the answers of a simple model, even if requests are lost or repeated',
  async () => {
    // two games at a time, each on its own database
    const played = [one, two].map((app) =>
      fc.assert(
        fc.asyncProperty(games, (commands) => play(app, commands)),
        { numRuns: RUNS / 2 },
      ),
    )
    await Promise.all(played)
  },
  HOUR,
)

test(
  'what three devices write at once is neither lost nor done twice',
  async () => {
    await fc.assert(
      fc.asyncProperty(rounds, (commands) => playAtOnce(three, commands)),
      { numRuns: RUNS / 5 },
    )
  },
  HOUR,
)
