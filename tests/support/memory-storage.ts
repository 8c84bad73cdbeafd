/** A storage in memory that tabs share, as they do `localStorage`; what is in it can be read and changed. */

interface StoredTokens {
  user: string
  access: string
  refresh: string
  renewAt: number
}

export function memoryStorage() {
  const content = new Map<string, string>()
  return {
    content,
    getItem: (key: string) => content.get(key) ?? null,
    setItem: (key: string, value: string) => void content.set(key, value),
    removeItem: (key: string) => void content.delete(key),
    /** What a client has stored, if nothing else is in it. */
    tokens(): StoredTokens {
      const [text = ''] = content.values()
      return JSON.parse(text)
    },
    change(changes: Partial<StoredTokens>) {
      const changed = JSON.stringify({ ...this.tokens(), ...changes })
      for (const key of content.keys()) content.set(key, changed)
    },
  }
}
export type MemoryStorage = ReturnType<typeof memoryStorage>
