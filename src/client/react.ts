/** Hooks for React. */
export function placeholder(): void {}
