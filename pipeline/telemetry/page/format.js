// Numbers as people read them: grouped, rounded to what they are known to, the unit beside.
const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const shortClock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

const THIN = "\u202f";

export function count(number) {
  if (Math.abs(number) >= 1e7) return `${(number / 1e6).toFixed(Math.abs(number) >= 1e8 ? 0 : 1)}${THIN}M`;
  return grouped.format(number);
}

export function rate(number) {
  if (number > 0 && number < 10) return number.toFixed(1);
  return count(number);
}

/** Three figures of a number of milliseconds that is given in microseconds; no unit. */
export function ms(us) {
  if (us === null || us === undefined) return "–";
  const value = us / 1000;
  if (value < 10) return value.toFixed(2);
  if (value < 100) return value.toFixed(1);
  return grouped.format(value);
}

/** Percent of a share, without the sign; what is not nothing never reads 0. */
export function percent(share) {
  if (share === null || Number.isNaN(share)) return "–";
  const value = share * 100;
  if (value === 0 || value === 100) return String(value);
  if (value < 0.01) return "<0.01";
  if (value > 99.99) return ">99.99";
  if (value < 1 || value > 99) return value.toFixed(2);
  return value.toFixed(1);
}

export function axisMs(us) {
  const value = us / 1000;
  if (value >= 1) return grouped.format(value);
  return String(Number(value.toPrecision(1)));
}

export function axisCount(number) {
  if (number >= 1e6) return `${Number((number / 1e6).toPrecision(3))}${THIN}M`;
  if (number >= 1e4) return `${Number((number / 1e3).toPrecision(3))}${THIN}k`;
  return number > 0 && number < 1 ? String(Number(number.toPrecision(2))) : grouped.format(number);
}

export function time(atMs) {
  return clock.format(atMs);
}

export function minute(atMs) {
  return shortClock.format(atMs);
}

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 120) return `${whole}${THIN}s`;
  if (whole < 7200) return `${Math.floor(whole / 60)}${THIN}min`;
  if (whole < 172800) return `${Math.floor(whole / 3600)}${THIN}h ${Math.floor((whole % 3600) / 60)}${THIN}min`;
  return `${Math.floor(whole / 86400)}${THIN}d ${Math.floor((whole % 86400) / 3600)}${THIN}h`;
}

export function bytes(number) {
  const step = number >= 1 << 30 ? [1 << 30, "GiB"] : number >= 1 << 20 ? [1 << 20, "MiB"] : [1 << 10, "KiB"];
  return `${Number((number / step[0]).toPrecision(3))}${THIN}${step[1]}`;
}

export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}
