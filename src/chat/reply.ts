/** What becomes of the parts that a model gives: an answer that is stored and sent. */
import type { ToolCall } from './model'
import type { Ending, Part } from './rounds'

/** What is added to the words of the model, so that the user knows why it has stopped. */
const NOTE: Record<Ending, string> = {
  stop: '',
  refused: '',
  filtered: 'The filter of the provider has stopped the answer.',
  length: 'The answer was cut off, because it was too long.',
  rounds: 'I have stopped here, because this took too many steps.',
  calls: 'I have stopped here, because this took too many tools.',
}
const BROKEN_OFF = 'I could not finish the answer.'
/** True while it is worked on, and for good if the process dies. */
const UNFINISHED = 'I have not finished the answer.'

export interface StoredReply {
  content: string
  toolCalls: ToolCall[]
}

/** Collects parts. */
export class Reply {
  /** Words before and after tools are paragraphs. */
  content = ''
  readonly toolCalls: ToolCall[] = []
  readonly usage = { input: 0, output: 0 }
  rounds = 0
  ending: Ending | undefined
  #isAfterTools = false

  /** @returns words that are added to those of the model */
  take(part: Part): string {
    switch (part.type) {
      case 'text':
        if (this.#isAfterTools && this.content) this.content = `${this.content.trimEnd()}\n\n`
        this.content += part.words
        this.#isAfterTools = false
        return ''
      case 'result':
        this.#isAfterTools = true
        this.toolCalls.push({ tool: part.tool, arguments: { ...part.input }, result: { ...part.output } })
        return ''
      case 'round':
        this.rounds++
        this.usage.input += part.usage?.input ?? 0
        this.usage.output += part.usage?.output ?? 0
        return ''
      case 'end':
        this.ending = part.ending
        // a surrogate may have been alone until its other half came
        this.content = this.content.toWellFormed()
        return this.#add(NOTE[part.ending] || (this.content.trim() === '' ? this.#wordless() : ''))
      case 'call':
        return ''
    }
  }

  /** @returns what is said in the place of a model that says nothing, as small ones do after a tool */
  #wordless(): string {
    if (this.toolCalls.length === 0) return 'I have nothing to say to that.'
    const failed = this.toolCalls.filter(({ result }) => 'error' in result).length
    if (failed === 0) return 'Done.'
    return failed === this.toolCalls.length
      ? 'That did not work.'
      : 'Some of that is done, and some did not work.'
  }

  #add(note: string): string {
    const isBlank = this.content.trim() === ''
    const added = note && !isBlank ? `\n\n${note}` : note
    this.content = isBlank && note ? note : this.content + added
    return added
  }

  /** What is stored if the model has stopped in the middle; undefined: nothing was said or done. */
  get brokenOff(): StoredReply | undefined {
    const isEmpty = this.content === '' && this.toolCalls.length === 0
    return isEmpty ? undefined : this.#endedBy(BROKEN_OFF)
  }

  /** What is stored while the model goes on. */
  get unfinished(): StoredReply {
    return this.#endedBy(UNFINISHED)
  }

  #endedBy(words: string): StoredReply {
    const { content, toolCalls } = this
    const end = words + this.#doneSoFar()
    return { content: content ? `${content}\n\n${end}` : end, toolCalls }
  }

  /** The model sees only words of earlier messages, so they say what need not be done again. */
  #doneSoFar(): string {
    const done = this.toolCalls.flatMap(({ result: { status, task_id } }) =>
      typeof status === 'string' ? [`${status} task ${task_id}`] : [],
    )
    return done.length > 0 ? ` Done until then: ${done.join(', ')}.` : ''
  }
}
