// SPDX-License-Identifier: MIT
// An S3 server that checks signatures, for helper/s3.lua. Arguments: the folder of the npm package, a folder for the objects, a bucket.
// Prints its port. Ends when stdin ends.
'use strict';
const [packageFolder, directory, bucket] = process.argv.slice(2);
const S3rver = require(packageFolder);
const account = require(packageFolder + '/lib/models/account');
account.registry.clear();
new account('1', 'omni').createKeyPair('AKIDOMNITEST', 'wJalr/secret+key/of+omni/tests');
const server = new S3rver({ directory, address: '127.0.0.1', port: 0, silent: true, vhostBuckets: false,
  configureBuckets: [{ name: bucket, configs: [] }] });
server.run().then(({ port }) => console.log(port));
process.stdin.on('end', () => process.exit(0)).resume();
