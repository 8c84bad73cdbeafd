export * from 'taskwell-client'
