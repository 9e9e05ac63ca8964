// What a page does that is measured: it joins a stream as a click would, and looks at what a video shows. Handed to the
// browser by page.py, with a job, what that needs, and a function for what came of it. All times are milliseconds.
const [job, wanted, done] = arguments;
const now = () => performance.now();
const later = milliseconds => new Promise(over => setTimeout(over, milliseconds));
// So that a page that never plays fails here, with what it has seen so far.
const PATIENCE = 15000;

const element = () => {
    const video = document.createElement('video');
    Object.assign(video, {muted: true, autoplay: true, playsInline: true});
    document.body.append(video);
    return video;
};

/// The first picture that a video shows from now on, with what the browser tells of it.
const shown = video => new Promise(shown => video.requestVideoFrameCallback((at, told) => shown([now(), told])));

/// Joins by WebRTC, and waits for the first picture. What is seen is counted from the offer.
const join = async src => {
    const seen = {};
    const connection = new RTCPeerConnection();
    const video = element();
    const connected = new Promise(connected => connection.addEventListener('connectionstatechange', () =>
        connection.connectionState === 'connected' && connected(now())));
    connection.addEventListener('track', event => video.srcObject = new MediaStream([event.track]));
    connection.addTransceiver('video', {direction: 'recvonly'});
    await connection.setLocalDescription();
    while (connection.iceGatheringState !== 'complete') await later(5);
    const first = shown(video);
    const clicked = now();
    const answer = await fetch(`api/webrtc?src=${src}`, {
        method: 'POST', headers: {'Content-Type': 'application/sdp'}, body: connection.localDescription.sdp,
    });
    const sdp = await answer.text();
    if (!answer.ok) throw new Error(sdp);
    seen.answer = now() - clicked;
    await connection.setRemoteDescription({type: 'answer', sdp});
    const [at, told] = await first;
    seen.connected = await connected - clicked;
    seen.received = told.receiveTime - clicked;
    seen.decoded = seen.received + told.processingDuration * 1000;
    seen.shown = at - clicked;
    const leave = () => {
        connection.close();
        video.remove();
    };
    return {connection, video, seen, leave};
};

const webrtc = async src => {
    const {seen, leave} = await join(src);
    leave();
    return seen;
};

/// From the click to the first picture, by Media Source Extensions.
const mse = async src => {
    const seen = {};
    const video = element();
    const first = shown(video);
    const clicked = now();
    const mark = name => seen[name] ??= now() - clicked;
    const source = new MediaSource();
    const opened = new Promise(opened => source.addEventListener('sourceopen', opened, {once: true}));
    video.src = URL.createObjectURL(source);
    const socket = new WebSocket(new URL(`api/ws?src=${src}`, location.href.replace(/^http/, 'ws')));
    socket.binaryType = 'arraybuffer';
    let failed;
    const failure = new Promise((_, no) => failed = no);
    socket.addEventListener('open', async () => {
        await opened;
        mark('connected');
        socket.send(JSON.stringify({type: 'mse', value: 'avc1.640029'}));
    });
    let buffer = null;
    const parts = [];
    const append = () => {
        if (buffer && !buffer.updating && parts.length) buffer.appendBuffer(parts.shift());
    };
    socket.addEventListener('message', ({data}) => {
        if (typeof data === 'string') {
            const {type, value} = JSON.parse(data);
            if (type === 'error') return failed(new Error(value));
            mark('answer');
            buffer = source.addSourceBuffer(value);
            buffer.addEventListener('updateend', append);
        } else {
            // The first part has no picture.
            if ('header' in seen) mark('received');
            mark('header');
            parts.push(data);
            append();
        }
    });
    const [at] = await Promise.race([first, failure]);
    seen.shown = at - clicked;
    socket.close();
    video.remove();
    return seen;
};

/// Watches for so many milliseconds what `video` shows: each picture's strip, a pixel of each block, when it was received, if the browser
/// tells, and when it was on a canvas.
const watch = async (video, {milliseconds, columns, rows, block, top}) => {
    const canvas = document.createElement('canvas');
    // A pixel of each block, which is the one in its middle.
    [canvas.width, canvas.height] = [columns, rows];
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.imageSmoothingEnabled = false;
    const pictures = [];
    const began = now();
    while (now() - began < milliseconds) {
        const [, {receiveTime: received}] = await shown(video);
        context.drawImage(video, 0, top, columns * block, rows * block, 0, 0, columns, rows);
        const {data} = context.getImageData(0, 0, columns, rows);
        const at = now();
        // Its color is gray.
        const pixels = Array.from({ length: data.length / 4 }, (_, pixel) => data[4 * pixel + 1]);
        const onClock = time => time === undefined ? null : performance.timeOrigin + time;
        pictures.push([pixels, onClock(received), onClock(at)]);
    }
    return {pictures};
};

const jobs = {
    click: ({src, mode}) => (mode === 'mse' ? mse : webrtc)(src),
    /// A video of this page's own, by WebRTC.
    play: async ({src, settles}) => {
        const {connection, video, leave} = await join(src);
        await later(settles);
        const seen = await watch(video, wanted);
        const stats = [...(await connection.getStats()).values()].find(each => each.type === 'inbound-rtp');
        seen.buffered = stats.jitterBufferDelay / stats.jitterBufferEmittedCount * 1000;
        seen.decoding = stats.totalDecodeTime / stats.framesDecoded * 1000;
        leave();
        return seen;
    },
    /// The video that this page shows by itself.
    look: async ({settles}) => {
        let video;
        while (!((video = document.querySelector('video')) && video.readyState > 1)) await later(20);
        await later(settles);
        return watch(video, wanted);
    },
};
const {settles = 0, milliseconds = 0} = wanted;
const late = later(PATIENCE + settles + milliseconds).then(() => {
    throw new Error(`no picture: ${document.body.innerText.slice(0, 200)}`);
});
Promise.race([jobs[job](wanted), late]).then(done, error => done({error: String(error)}));
