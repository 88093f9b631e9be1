# trustpose on the CPU, with everything but training: docker build -t trustpose . && docker run --rm -v "$PWD:/data" trustpose predict photo.jpg --out out
FROM python:3.12-slim AS build
COPY . /source
RUN pip wheel --no-deps --wheel-dir /wheels /source

FROM python:3.12-slim
COPY --from=build /wheels /wheels
# The wheel by its path and its extras: nothing of the build's layers stays.
RUN pip install --no-cache-dir "$(ls /wheels/*.whl)[simdjson,tables,video,web]" \
 && rm -r /wheels && useradd --create-home trustpose
USER trustpose
WORKDIR /data
ENTRYPOINT ["trustpose"]
CMD ["--help"]
