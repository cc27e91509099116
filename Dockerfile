# local-panther in an image: mount a content repository at /content, and CloudTrail anywhere.
#   docker build --tag local-panther .
#   docker run --rm --volume "$PWD:/content" local-panther test
#   docker run --rm --volume "$PWD:/content" --volume ~/my-trail:/trail:ro local-panther replay /trail
FROM python:3.11-slim-trixie AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/local-panther \
  && /opt/local-panther/bin/pip install --no-cache-dir --constraint constraints.txt ".[panther-analysis]"

FROM python:3.11-slim-trixie
COPY --from=build /opt/local-panther /opt/local-panther
ENV PATH=/opt/local-panther/bin:$PATH
RUN useradd --uid 1000 --create-home panther
USER 1000
WORKDIR /content
ENTRYPOINT ["local-panther"]
CMD ["--help"]
