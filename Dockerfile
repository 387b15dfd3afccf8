# syntax=docker/dockerfile:1
FROM node:24-bookworm AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc* ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --omit=dev

FROM node:24-bookworm-slim
ENV MALLOC_ARENA_MAX=2 NODE_ENV=production HOST=0.0.0.0 PORT=3000 DATA_DIR=/data
WORKDIR /app
COPY --from=build /src/package.json ./
COPY --from=build /src/node_modules ./node_modules
COPY --from=build /src/dist ./dist
COPY --from=build /src/scripts/node-flags.js ./scripts/
RUN install -d -o node -g node -m 700 /data
USER node
VOLUME /data
EXPOSE 3000
# SIGTERM reaches the service itself: it answers what it has taken, then ends.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# A gateway; a worker is `node dist/apps/worker/src/main.js`.
CMD ["sh", "-c", "exec node $(node scripts/node-flags.js) dist/apps/gateway/src/main.js"]
