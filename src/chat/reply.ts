/** What becomes of the parts that a model gives: an answer that is stored and sent. */
import type { ToolCall } from './model'
import type { Ending, Part } from './rounds'

/** What is added to the words of the model, so that the user knows why it has stopped. */
const NOTE: Record<Ending, string> = {
  stop: '',
  refused: '',
  length: 'The answer was cut off, because it was too long.',
  rounds: 'I have stopped here, because this took too many steps.',
  calls: 'I have stopped here, because this took too many tools.',
}
const NO_WORDS = 'I have nothing to say to that.'
const BROKEN_OFF = 'I could not finish the answer.'

/** Collects parts. */
export class Reply {
  content = ''
  readonly toolCalls: ToolCall[] = []
  readonly usage = { input: 0, output: 0 }
  rounds = 0
  ending: Ending | undefined

  /** @returns words that are added to those of the model */
  take(part: Part): string {
    switch (part.type) {
      case 'text':
        this.content += part.words
        return ''
      case 'result':
        this.toolCalls.push({ tool: part.tool, arguments: { ...part.input }, result: { ...part.output } })
        return ''
      case 'round':
        this.rounds++
        this.usage.input += part.usage?.input ?? 0
        this.usage.output += part.usage?.output ?? 0
        return ''
      case 'end':
        this.ending = part.ending
        return this.#add(NOTE[part.ending] || (this.content.trim() === '' ? NO_WORDS : ''))
      case 'call':
        return ''
    }
  }

  #add(note: string): string {
    const added = note && this.content ? `\n\n${note}` : note
    this.content += added
    return added
  }

  /** @returns what is stored if the model has stopped in the middle; undefined: nothing was said or done */
  get brokenOff(): { content: string; toolCalls: ToolCall[] } | undefined {
    const { content, toolCalls } = this
    if (content === '' && toolCalls.length === 0) return undefined
    return { content: content ? `${content}\n\n${BROKEN_OFF}` : BROKEN_OFF, toolCalls }
  }
}
