// `with { type: 'file' }` gives the path of the file: on disk, or inside a compiled binary
declare module 'swagger-ui-dist/*' {
  const path: string
  export default path
}
declare module 'redoc/bundles/*' {
  const path: string
  export default path
}
// `with { type: 'text' }`
declare module './swagger/*' {
  const text: string
  export default text
}
