/** All of the package in one file, without Vite's own code. */
export default {
  build: {
    modulePreload: false,
    outDir: 'size',
    rolldownOptions: {
      input: 'all.js',
      preserveEntrySignatures: 'strict',
      output: { codeSplitting: false, entryFileNames: 'all.js' },
    },
  },
}
