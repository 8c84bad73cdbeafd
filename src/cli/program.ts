/** How the program was started, and what its users type to start it. */

/** A compiled program has its source inside. */
export const IS_COMPILED = Bun.main.startsWith('/$bunfs/')

/** With npx, `bun` is in the PATH of this process only. */
const BUN = /[\\/]_npx[\\/]/.test(Bun.which('bun') ?? '') ? `npx --yes bun@${Bun.version}` : 'bun'

/** The program without a command. */
export const PROGRAM = IS_COMPILED ? 'taskwell' : `${BUN} src/main.ts`

/**
 * @param name a command's words, such as `db up`
 * @param script the script in package.json that calls it; undefined if there is none
 * @returns what to type: `taskwell db up`, or in the repository `bun run db:up`
 */
export function toType(name: string, script: string | undefined): string {
  return IS_COMPILED || script === undefined ? `${PROGRAM} ${name}` : `${BUN} run ${script}`
}
