/** The recipe of CONTRIBUTING.md as steps: a block of code whose first line names a file, or a block of commands. */

export type Step =
  | { kind: 'file'; path: string; text: string }
  | { kind: 'edit'; path: string; hunks: Hunk[] }
  | { kind: 'commands'; text: string }

/** Lines of a file, and what takes their place. */
interface Hunk {
  before: string
  after: string
}

const BLOCK = /^```(\w+)(?: (\S+))?\n(.*?)^```$/gms

/** @returns the steps of a section, in their order. @throws Error if there is none, or a block is for no file */
export function stepsOf(document: string, heading: string): Step[] {
  const section = document.split(/^(?=## )/m).find((each) => each.startsWith(`## ${heading}\n`))
  const steps = [...(section ?? '').matchAll(BLOCK)].map(([, language, path, text = '']): Step => {
    if (language === 'sh') return { kind: 'commands', text }
    if (path === undefined) throw new Error(`A block names no file:\n${text}`)
    return language === 'diff' ? { kind: 'edit', path, hunks: hunksOf(text) } : { kind: 'file', path, text }
  })
  if (steps.length === 0) throw new Error(`The document has no steps under "${heading}"`)
  return steps
}

/** As in a unified diff, without numbers of lines: a line `@@` stands between two places. */
function hunksOf(diff: string): Hunk[] {
  const side = (lines: string[], other: string) =>
    lines.flatMap((line) => (line.startsWith(other) ? [] : [`${line.slice(1)}\n`])).join('')
  return diff.split(/^@@\n/m).map((hunk) => {
    const lines = hunk.split('\n').slice(0, -1)
    return { before: side(lines, '+'), after: side(lines, '-') }
  })
}

/** @throws Error if the lines that an edit begins from are not there, or more than once */
export function applyEdit(text: string, hunks: readonly Hunk[]): string {
  return hunks.reduce((edited, { before, after }) => {
    const [head = '', tail, ...others] = `\n${edited}`.split(`\n${before}`)
    if (before === '' || tail === undefined || others.length > 0)
      throw new Error(`Not there exactly once:\n${before}`)
    return `${head}\n${after}${tail}`.slice(1)
  }, text)
}
