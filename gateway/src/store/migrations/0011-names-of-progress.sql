-- No table changes. From here on, releases and the progress of deploys have other field names, which an earlier gateway would
-- misread: it refuses this database because of this file.
SELECT 1;
