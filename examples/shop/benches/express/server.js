// The endpoint that a Node programmer would write for the same job: a product's page from Redis,
// behind a circuit breaker. What Express does by default and our gateway does not is switched off.

const express = require('express');
const Redis = require('ioredis');
const CircuitBreaker = require('opossum');

const redis = new Redis(process.env.REDIS_SOCKET);
const read = new CircuitBreaker((id) => redis.get(`express:product:${id}`), {
  timeout: 1000,
  errorThresholdPercentage: 50,
  resetTimeout: 5000,
});

const app = express();
app.disable('x-powered-by');
app.disable('etag');

app.get('/api/products/:id', async (request, response) => {
  try {
    const product = await read.fire(request.params.id);
    if (product === null) {
      response.status(404).json({ title: 'There is no such thing' });
    } else {
      response.type('application/json').send(product);
    }
  } catch {
    response.status(503).json({ title: 'Not at the moment' });
  }
});

const server = app.listen(Number(process.env.PORT), '127.0.0.1', () => {
  console.log(`ready ${server.address().port}`);
});
