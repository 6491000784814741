-- Fly's own id of an app that this builder made (null: not known): one made later under the name is another.
ALTER TABLE apps ADD COLUMN fly_id TEXT;

-- How each image was made, wherever it is written down: an image by railpack takes its command as one text.
CREATE TEMP TABLE ways AS
  SELECT body ->> '$.image.digest' AS digest, max(body ->> '$.plan.way') AS way FROM deployments
  WHERE body ->> '$.plan.way' IS NOT NULL AND body ->> '$.image.digest' IS NOT NULL GROUP BY 1;
CREATE UNIQUE INDEX temp.ways_by_digest ON ways (digest);
UPDATE deployments SET body = json_set(body, '$.image.way', (SELECT way FROM ways WHERE digest = body ->> '$.image.digest'))
  WHERE body ->> '$.image.digest' IN (SELECT digest FROM ways);
UPDATE releases SET body = json_set(body, '$.image.way', (SELECT way FROM ways WHERE digest = body ->> '$.image.digest'))
  WHERE body ->> '$.image.digest' IN (SELECT digest FROM ways);
DROP TABLE ways;
