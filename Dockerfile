# The runner with the example product's alterations. A product's own image is made FROM this one, with its own folder:
#   COPY alterations/ /app/alterations/
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Without install scripts: they bring a Node and a PostgreSQL for development, which an image does not need.
RUN npm ci --ignore-scripts
COPY rolldown.config.ts tsconfig.json tsconfig.types.json ./
COPY src ./src
RUN node node_modules/rolldown/bin/cli.mjs -c && node node_modules/typescript/bin/tsc -p tsconfig.types.json

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=peer --ignore-scripts && npm cache clean --force

FROM ${NODE_IMAGE}
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json ./
COPY alterations ./alterations
USER 1000
ENTRYPOINT ["node", "--", "/app/dist/bin.js"]
CMD ["deploy", "latest"]
