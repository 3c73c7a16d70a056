# Two images:
#   runner   the runner alone, which a product's image is made FROM:  docker build --target runner --tag … .
#   example  the runner with the example product's alterations; what a build without --target makes.
# Any image with Node 24, npm and bash will do as the base.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Without install scripts: they bring a Node and a PostgreSQL for development, which an image does not need.
RUN npm ci --ignore-scripts
COPY rolldown.config.ts tsconfig.json tsconfig.types.json ./
COPY src ./src
RUN node node_modules/rolldown/bin/cli.mjs -c && rm -rf dist/types
COPY LICENSE ./
COPY alterations ./example
COPY deploy/example-image.config.js ./alteration.config.js
# Whoever runs it may read it, whatever the umask of the checkout was.
RUN chmod -R a+rX dist example LICENSE package.json alteration.config.js

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=peer --ignore-scripts

FROM ${NODE_IMAGE} AS runner
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="postgres-alteration" \
      org.opencontainers.image.description="Brings a product's PostgreSQL database from any released version to another." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# `sh -c 'npm run alteration deploy latest'`: bash gives its place to the command, so that a signal reaches npm, and
# npm's the runner. dash would stay in between, as the first process deaf to SIGTERM.
RUN ln -sf bash /bin/sh
# npm writes no logs and asks nobody for updates: the home may be read-only, and there is no network but the database.
ENV NODE_ENV=production \
    npm_config_cache=/tmp/.npm \
    npm_config_logs_max=0 \
    npm_config_update_notifier=false
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/package.json /app/LICENSE ./
COPY --from=build /app/dist ./dist
# Compiled code of a deploy, as Node keeps it: read where nothing can be written. Made by one that finds no database
# (exit code 9). Node keeps it by user, for whom the last number of the folder's name stands: root's is the image's too.
RUN mkdir dist/compile-cache /tmp/warm && echo 'select 1;' > /tmp/warm/1.0.0-1-warm.sql \
    && { node dist/bin.js deploy latest --dir /tmp/warm --db-url postgres://nobody@127.0.0.1:1/none --connect-wait 0 \
         --log-level silent 2> /tmp/warm/log || [ $? -eq 9 ]; } \
    && for cache in dist/compile-cache/*-0; do ln -s "${cache##*/}" "${cache%-0}-1000" || exit 1; done \
    && chmod -R a+rX dist/compile-cache && rm -r /tmp/warm
USER 1000
ENTRYPOINT ["node", "--", "/app/dist/bin.js"]
CMD ["deploy", "latest"]

FROM runner AS example
COPY --from=build /app/alteration.config.js ./
COPY --from=build /app/example ./example
