/** The texts of `--help`. */
import { version } from '../../package.json'
import { type Command, SHOWN } from './commands'
import { PROGRAM, toType } from './program'

/** @returns the help of the whole program */
export function helpOfProgram(): string {
  return `Taskwell ${version}, a tasks backend for many users

Usage: ${PROGRAM} [command] [option]

Commands; without one it serves:
${listOf(SHOWN)}
Options:
  -h, --help       show this help, or that of the command before it
  -V, --version    print the version

Exit codes:
  0    done
  1    failed: for example, a setting is wrong, or the database cannot be reached
  2    wrong usage

More: ${PROGRAM} help <command>
`
}

/** @param group the first word of several commands */
export function helpOfGroup(group: string, commands: readonly Command[]): string {
  return `Usage: ${PROGRAM} ${group} <command>

${listOf(commands)}
More: ${PROGRAM} help ${group} <command>
`
}

/** @returns the help of one command */
export function helpOfCommand(command: Command): string {
  const summary = command.summary.charAt(0).toUpperCase() + command.summary.slice(1)
  return `Usage: ${usageOf(command)}

${summary}.

${command.details}
`
}

/** @returns what to type for a command and what it takes */
export function usageOf({ name, script, takes }: Command): string {
  return [toType(name, script), ...takes.map((each) => `<${each}>`)].join(' ')
}

function listOf(commands: readonly Command[]): string {
  return commands
    .map(({ name, takes, summary }) => {
      const typed = [name, ...takes.map((each) => `<${each}>`)].join(' ')
      return `  ${typed.padEnd(17)}${summary}\n`
    })
    .join('')
}
