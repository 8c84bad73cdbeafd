/** How many streams each user has. */

/** How many streams a user may have. */
export const MAX_STREAMS = 20

/** Gives a place back; once. */
export type Leave = () => void

export interface StreamSlots {
  /** @returns what gives the place back, or undefined if this user has as many as there may be */
  take(userId: string): Promise<Leave | undefined>
}

/** Counts them in memory. */
export interface OwnStreamSlots extends StreamSlots {
  takeNow(userId: string): Leave | undefined
}

export function createStreamSlots(most = MAX_STREAMS): OwnStreamSlots {
  const taken = new Map<string, number>()
  function takeNow(userId: string): Leave | undefined {
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
  }
  return { takeNow, take: async (userId) => takeNow(userId) }
}
