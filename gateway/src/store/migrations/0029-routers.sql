-- Apps with a router, which sends each request to the machine of its owner.
CREATE TABLE routers (
  app    TEXT PRIMARY KEY,
  router TEXT NOT NULL UNIQUE,
  domain TEXT
);
