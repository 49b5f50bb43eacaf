# Two stages: the first builds an environment from the hashed lock, the second is a bare Python with that environment.
# Everything an admin owns lies in /app: config.toml, mappings/ and state/, so that a config.toml works the same inside
# and outside of a container (its relative paths are relative to the file). See compose.example.yml.

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PIP_ONLY_BINARY=:all:
WORKDIR /build
COPY requirements.build.lock requirements.runtime.lock ./
# The environment gets no pip of its own: pip works on it from the tools beside it.
RUN python -m venv tools \
 && tools/bin/python -m pip install --quiet --require-hashes --requirement requirements.build.lock \
 && python -m venv --without-pip /opt/syncd \
 && tools/bin/python -m pip --python /opt/syncd/bin/python install --quiet \
      --require-hashes --requirement requirements.runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY connectors connectors
COPY syncd syncd
RUN tools/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels . \
 && tools/bin/python -m pip --python /opt/syncd/bin/python install --quiet --no-index --no-deps wheels/*.whl


FROM python:3.11-slim
LABEL org.opencontainers.image.title="syncd" \
      org.opencontainers.image.description="Keeps what an MSP's customers use and what they are billed the same." \
      org.opencontainers.image.licenses="Apache-2.0"
# The number is fixed so that volumes and secret files can be given to it. No file keeps a set-user-ID
# bit, and the base's own pip goes: nothing is installed here any more.
RUN /usr/sbin/groupadd --gid 10001 syncd \
 && /usr/sbin/useradd --uid 10001 --gid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin syncd \
 && install --directory --owner=10001 --group=10001 --mode=0750 /app/state \
 && rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/site-packages/pip* /usr/local/lib/python3.*/ensurepip \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=build /opt/syncd /opt/syncd
ENV PATH=/opt/syncd/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SYNCD_CONFIG=/app/config.toml
WORKDIR /app
USER 10001:10001
VOLUME ["/app/state"]
EXPOSE 8730
# Straight to loopback: a proxy in the environment must not be asked for it. Another port in [web] needs another line.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-I", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8730, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["syncd"]
CMD ["run"]
