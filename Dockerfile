# syntax=docker/dockerfile:1

# Build: the pinned compiler; a C compiler comes with the image (SQLite is built from source).
FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
# What cargo fetched and built stays in the builder's cache, so a change to our own code builds only
# that. The binary has to leave the cache to be copied below.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --locked --profile dist --bin polymarket-agent \
 && install -D target/dist/polymarket-agent /out/polymarket-agent

# Run: no compiler, no shell tools beyond Debian's smallest, an ordinary user.
FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin polymarket \
 && install -d -o polymarket -g polymarket -m 0750 /data
COPY --from=build /out/polymarket-agent /usr/local/bin/polymarket-agent
COPY --from=build /build/config.yaml /etc/polymarket-agent/config.yaml
COPY --from=build /build/LICENSE /usr/share/doc/polymarket-agent/LICENSE
ENV POLYMARKET_CONFIG=/etc/polymarket-agent/config.yaml \
    POLYMARKET_DB=/data/polymarket_agent.db
USER polymarket
WORKDIR /data
VOLUME /data
# For `run`, the default command: whether a tick was written in the last 15 minutes. It reads the
# ledger beside its owner and does not ask the running process. Other commands need another check or
# none (--no-healthcheck), and so does a poll_interval of more than a few minutes.
HEALTHCHECK --interval=60s --timeout=10s --start-period=120s --retries=3 \
    CMD ["polymarket-agent", "status", "--max-age", "900"]
ENTRYPOINT ["polymarket-agent"]
CMD ["run", "--db", "/data/polymarket_agent.db"]
