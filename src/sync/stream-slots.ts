/** How many streams each user has in this process. */

/** How many streams a user may have, in all processes together. */
export const MAX_STREAMS = 20

/** Gives the slot back; a second call does nothing. */
type Leave = () => void

export interface StreamSlots {
  /** @returns what gives the slot back, or undefined if this user has as many as allowed */
  take(userId: string): Leave | undefined
}

/** @param most how many slots each user has */
export function createStreamSlots(most = MAX_STREAMS): StreamSlots {
  const taken = new Map<string, number>()
  return {
    take(userId) {
      const before = taken.get(userId) ?? 0
      if (before >= most) return undefined
      taken.set(userId, before + 1)
      let isLeft = false
      return () => {
        if (isLeft) return
        isLeft = true
        const left = (taken.get(userId) ?? 0) - 1
        if (left > 0) taken.set(userId, left)
        else taken.delete(userId)
      }
    },
  }
}
