/** From what was typed to what is done. */
import { parseArgs } from 'node:util'
import { version } from '../../package.json'
import { COMMANDS, type Command, SHOWN } from './commands'
import { helpOfCommand, helpOfGroup, helpOfProgram, usageOf } from './help'
import { PROGRAM, toType } from './program'
import { nearest, UsageError } from './usage'

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
} as const

/**
 * Runs a command, or prints what is asked about it. Without a command it serves: containers and service managers start
 * the program so.
 *
 * @param args what was typed after the program
 * @throws UsageError for anything but a command, what it takes, and the options
 * @throws Error if the command fails
 */
export async function run(args: readonly string[]): Promise<void> {
  const { words, isHelp, isVersion } = readOptions(args)
  if (words[0] === 'help') return print(helpOf(words.slice(1)))
  if (isHelp) return print(helpOf(words))
  if (isVersion) return print(`${version}\n`)
  const { command, rest } = findCommand(words.length === 0 ? ['serve'] : words)
  checkCount(command, rest)
  await command.run(...rest)
}

function print(text: string): void {
  process.stdout.write(text)
}

function readOptions(args: readonly string[]) {
  // not strict, because its errors have other words
  const config = { args: [...args], options: OPTIONS, strict: false, tokens: true } as const
  const { positionals, tokens } = parseArgs(config)
  const given = tokens.filter((token) => token.kind === 'option')
  for (const { name, rawName, value } of given) {
    if (!Object.hasOwn(OPTIONS, name)) throw unknownOption(rawName)
    if (value !== undefined) throw new UsageError(`\`${rawName}\` takes no value`)
  }
  const isGiven = (option: keyof typeof OPTIONS) => given.some(({ name }) => name === option)
  return { words: positionals, isHelp: isGiven('help'), isVersion: isGiven('version') }
}

function unknownOption(typed: string): UsageError {
  const options = Object.keys(OPTIONS).map((name) => `--${name}`)
  const meant = nearest(typed, options)
  const hint = meant
    ? `Did you mean \`${meant}\`?`
    : 'Settings are environment variables, such as `PORT=8000`.'
  return new UsageError(`There is no option \`${typed}\`. ${hint}`)
}

/** @param words a command, the first word of several, or nothing; what a command takes may follow */
function helpOf(words: readonly string[]): string {
  const [group] = words
  if (group === undefined) return helpOfProgram()
  const members = membersOf(group)
  if (words.length === 1 && members.length > 0) return helpOfGroup(group, members)
  return helpOfCommand(findCommand(words).command)
}

const membersOf = (group: string) => COMMANDS.filter(({ name }) => name.startsWith(`${group} `))

function findCommand(words: readonly string[]): { command: Command; rest: string[] } {
  for (const command of COMMANDS) {
    const own = command.name.split(' ')
    if (own.every((word, i) => word === words[i])) return { command, rest: words.slice(own.length) }
  }
  throw unknownCommand(words)
}

/** @param words begin with no command */
function unknownCommand([first = '', second]: readonly string[]): UsageError {
  const members = membersOf(first)
  if (members.length > 0 && second === undefined) {
    const seconds = members.map(({ name }) => name.slice(first.length + 1)).join(', ')
    return new UsageError(`After \`${first}\`, one of these is missing: ${seconds}`, `${PROGRAM} ${first}`)
  }
  const typed = members.length > 0 ? `${first} ${second}` : first
  const meant = nearestCommand(typed)
  const hint = meant ? ` Did you mean \`${usageOf(meant)}\`?` : ''
  return new UsageError(`There is no command \`${typed}\`.${hint}`)
}

/** People also type the scripts of package.json (`start`), or only the end of a command (`up`). */
function nearestCommand(typed: string): Command | undefined {
  const candidates = new Map<string, Command>()
  for (const command of SHOWN) {
    const { name, script = name } = command
    for (const each of [name, script, name.replace(/^.* /, '')]) candidates.set(each, command)
  }
  const found = nearest(typed, [...candidates.keys()])
  return found === undefined ? undefined : candidates.get(found)
}

function checkCount(command: Command, given: readonly string[]): void {
  const { name, script, takes } = command
  const missing = takes.find((_, i) => !given[i])
  const surplus = given[takes.length]
  if (missing === undefined && surplus === undefined) return
  const fault = missing === undefined ? `\`${surplus}\` is too much` : `The ${missing} is missing`
  throw new UsageError(`${fault}: ${usageOf(command)}`, toType(name, script))
}
