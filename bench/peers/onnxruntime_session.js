// Times an ONNX model in ONNX Runtime on the CPU: node onnxruntime_session.js MODEL BATCH ROUNDS THREADS; prints one
// time in seconds a line. ONNXRUNTIME_NODE names the folder of the package onnxruntime-node.
const path = require('path');
const ort = require(path.resolve(process.env.ONNXRUNTIME_NODE || 'node_modules/onnxruntime-node'));

async function main() {
    const [model, batch, rounds, threads] = [process.argv[2], ...process.argv.slice(3).map(Number)];
    const session = await ort.InferenceSession.create(model, {
        executionProviders: ['cpu'],
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        graphOptimizationLevel: 'all',
    });
    const pixels = Float32Array.from({length: batch * 256 * 256}, Math.random);
    const images = new ort.Tensor('float32', pixels, [batch, 1, 256, 256]);
    for (let round = 0; round <= rounds; ++round) {
        const start = process.hrtime.bigint();
        await session.run({images});
        const seconds = Number(process.hrtime.bigint() - start) / 1e9;
        if (round > 0) console.log(seconds.toFixed(4)); // the first one warms up
    }
}

main().catch((error) => {
    console.error(error.message);
    process.exit(1);
});
