import { visitors, PHONE } from "./journeys/people.mjs";
const [url,email,password,...only]=process.argv.slice(2);
const { browser, faults, person, check, signIn } = await visitors(url);
const M="/tmp/fb-files/m/", D="/tmp/fb-files/d/", S="/tmp/fb-files/shots/";
import { mkdirSync } from "node:fs"; mkdirSync(S,{recursive:true});
const page=await person({}); page.setDefaultTimeout(15000);
await signIn(page,email,password);
const shot=(n,p=page)=>p.screenshot({path:`${S}${n}.png`,fullPage:true});
async function newModel(files){
  await page.goto(`${url}/console/jobs/new`);
  await page.getByRole("button",{name:/A new one/}).click().catch(()=>{});
  await page.getByLabel("An ONNX file").setInputFiles([].concat(files).map(f=>M+f));
  await page.getByRole("button",{name:"Upload it"}).click();
}
const useThese=()=>page.getByRole("button",{name:"Use these"}).click();
const skip=()=>page.getByRole("button",{name:/^Skip/}).click();
async function run(n){
  await page.getByText("expected for").waitFor();
  await shot(`${n}-2-form`);
  await page.getByRole("button",{name:"Start the job"}).click();
  await page.getByRole("heading",{name:"Bill",exact:true}).waitFor({timeout:40000});
  await page.waitForTimeout(1500);
  await check(page,n);
  await shot(`${n}-3-job`);
}
const plays={
 async refused(){ for(const f of ["custom","damaged","notes","iris-zipmap","sentiment","external"]){ await newModel(f+".onnx").catch(e=>console.log(f,"no upload",String(e).slice(0,100))); await page.getByRole("alert").first().waitFor(); await page.waitForTimeout(300); console.log(f, (await page.getByRole("alert").first().innerText()).slice(0,200)); await shot("refused-"+f);} },
 async external(){ await newModel(["external.onnx","external.onnx.data"]); await page.getByText("is accepted").waitFor(); await skip(); await page.getByRole("heading",{name:"The inputs"}).waitFor(); await shot("external"); },
 async classifier(){ await newModel("classifier.onnx"); await page.getByText("is accepted").waitFor(); await shot("classifier-0-card"); await skip(); await page.getByText("This looks like").waitFor(); await shot("classifier-1-offer"); await check(page,"offer");
   await page.getByRole("button",{name:"Treat files as pictures"}).click(); await page.getByText("Read as pictures").waitFor(); await page.getByLabel("Files for pixels").setInputFiles(D+"pictures.zip"); await page.getByText("10 items").first().waitFor(); await page.locator(".previews img").first().waitFor(); await check(page,"preview"); await run("classifier"); },
 async nhwc(){ await newModel("nhwc8.onnx"); await page.getByText("is accepted").waitFor(); await shot("nhwc-0"); await useThese(); await page.getByLabel("Files for image").setInputFiles([0,1,2].map(i=>D+`p${i}.png`)); await run("nhwc"); },
 async dropped(){ await newModel("fixed.onnx"); await page.getByText("is accepted").waitFor(); await skip(); await page.getByRole("button",{name:"No, give numbers"}).click(); await page.getByLabel("Files for input").setInputFiles([0,1,2].map(i=>D+`p${i}.png`)); await page.getByText("Shall they be read").waitFor(); await shot("dropped-1"); await page.getByRole("button",{name:"Treat files as pictures"}).click(); await page.getByText("3 items").first().waitFor(); await run("dropped"); },
 async iris(){ await newModel("iris.onnx"); await page.getByText("is accepted").waitFor(); await useThese(); await page.getByLabel("Files for X").setInputFiles(D+"iris.csv"); await page.getByText("Left out").waitFor(); await run("iris"); 
   await page.goto(`${url}/console/jobs/new?model=iris`); await page.getByRole("button",{name:"Type or paste"}).click(); await page.getByLabel("Values of X").fill("5,1;3,5;1,4;0,2\n6,0;3,0;4,8;1,8"); await page.getByText("decimal points").waitFor(); await shot("iris-4-paste"); },
 async columns(){ await newModel("columns.onnx"); await page.getByText("is accepted").waitFor(); await useThese(); await page.getByLabel("Files for age").waitFor().catch(()=>{}); await shot("columns-1"); await page.getByRole("button",{name:"Type or paste"}).click(); await page.getByLabel("Values of age").fill("20\n50"); await page.getByLabel("Texts for town").fill("Ulm\nBonn"); await run("columns"); },
 async audio(){ await newModel("audio.onnx"); await page.getByText("is accepted").waitFor(); await shot("audio-0"); await useThese(); await page.getByLabel("Files for samples").setInputFiles([0,1,2].map(i=>D+`s${i}.wav`)); await page.locator(".previews audio").first().waitFor(); await run("audio"); },
 async two(){ await newModel("two.onnx"); await page.getByText("is accepted").waitFor(); await useThese(); for(const n of ["a","b"]) await page.getByLabel("Files for "+n).setInputFiles(D+"both.npz"); await run("two"); },
 async invert(){ await newModel("invert.onnx"); await page.getByText("is accepted").waitFor(); await useThese(); await page.getByLabel("Files for image").setInputFiles([0,1,2].map(i=>D+`p${i}.png`)); await run("invert"); },
 async dynamic(){ await newModel("dynamic.onnx"); await page.getByText("is accepted").waitFor(); await shot("dynamic-0"); await useThese(); await page.getByLabel("Files for x").setInputFiles([0,1].map(i=>D+`p${i}.png`)); await run("dynamic"); },
 async segment(){ await newModel("segment.onnx"); await page.getByText("is accepted").waitFor(); await useThese(); await page.getByLabel("Files for image").setInputFiles([0,1].map(i=>D+`p${i}.png`)); await run("segment"); },
 async depth(){ await newModel("depth.onnx"); await page.getByText("is accepted").waitFor(); await useThese(); await page.getByLabel("Files for image").setInputFiles([0,1].map(i=>D+`p${i}.png`)); await run("depth"); },
};
for (const [n,f] of Object.entries(plays)){ if(only.length&&!only.includes(n)) continue; try{ await f(); console.log(n,"ok"); }catch(e){ console.log(n,"FAILED",String(e).slice(0,400)); await shot("FAILED-"+n); } }
console.log(JSON.stringify(faults,null,1)); await browser.close();
