# Small, non-root image of the daemon. State lives in the volume /data; nothing else is written (--read-only works).
FROM python:3.11-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN python -m venv /opt/tradingd \
 && /opt/tradingd/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r requirements/run.txt
COPY . .
RUN /opt/tradingd/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
 && /opt/tradingd/bin/tradingd version \
 && rm -rf /opt/tradingd/lib/python3.11/site-packages/pyarrow/tests \
 && find /opt/tradingd/lib/python3.11/site-packages/numpy -depth -name tests -type d -exec rm -rf {} + \
 && /opt/tradingd/bin/pip uninstall -y --disable-pip-version-check pip

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin tradingd \
 && install -d -o tradingd -g tradingd -m 0700 /data
COPY --from=build /opt/tradingd /opt/tradingd
ENV PATH=/opt/tradingd/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TRADINGD__DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=6 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/api/health', timeout=2)"]
ENTRYPOINT ["tradingd"]
CMD ["run", "--log", "json"]
